"""Content Credentials (C2PA) by a certificate of the user's own; the extra ``c2pa`` is needed here and nowhere else."""

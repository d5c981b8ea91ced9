"""The benchmark's work, done by the code that the jobs run: each part resumes where it stood, and refuses another's."""

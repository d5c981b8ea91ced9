"""Where people come from: the layouts of ReID data sets, and the world that is drawn here."""

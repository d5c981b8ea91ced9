"""What `pipeline.generators.recipes.personflow` is made of: settings, data, path, speeds, what is told and asked."""

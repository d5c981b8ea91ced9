"""What `pipeline.generators.recipes.personflow` is made of: settings, data, path, speeds, what a flow is told and asked for."""

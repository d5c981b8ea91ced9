"""What `pipeline.generators.recipes.personflow` is made of: settings, data, path, speeds, and what a flow is told."""

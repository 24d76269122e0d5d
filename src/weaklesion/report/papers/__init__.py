"""What goes with a study's models: a model card, a data sheet, checklists, a folder to publish."""

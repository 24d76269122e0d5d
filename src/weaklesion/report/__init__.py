"""Tables, figures and pages, and the plan of a study."""

"""The networks, one module per kind. `names` lists them; `weaklesion.models` builds them."""

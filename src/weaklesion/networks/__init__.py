"""The networks, a module a kind. `names` lists them; `weaklesion.models` builds them."""

"""Container images of Préau and of its servers, and the platform composed of them."""

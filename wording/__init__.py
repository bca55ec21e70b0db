"""The words of facts, French first and English beside it, for every service that shows or tells them."""

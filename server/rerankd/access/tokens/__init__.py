"""JSON Web Tokens: callers whom an issuer of the operator's choice vouches for."""

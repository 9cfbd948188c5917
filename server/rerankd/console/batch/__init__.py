"""`rerankd batch`: a file of requests in, a file of outcomes out, resumable."""

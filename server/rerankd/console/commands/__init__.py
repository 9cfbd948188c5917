"""Options and help of the commands; `program` is the application of all of them."""

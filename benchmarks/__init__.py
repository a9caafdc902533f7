"""One script per question; `make bench` asks all of them. See README.md."""

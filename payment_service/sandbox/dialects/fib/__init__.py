"""First Iraqi Bank, under /fib: payments by an app link or a QR code, in whole dinars."""

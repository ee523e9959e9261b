"""One number after another, with its bounds: pure arithmetic that knows neither disk nor torch."""

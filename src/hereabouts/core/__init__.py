"""The rules of the house: pure functions and values, without I/O, clock, Django or asyncio."""

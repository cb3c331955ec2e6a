"""The contenders: one module for each library, with one function for each thing it is asked to do.

A contender runs in a process of its own. Its function takes a `Job` and answers with points; it imports its library
itself, and knows neither its rivals nor what becomes of the figures.
"""

raise ZeroDivisionError("it cannot be imported")

"""`weaklesion export`: a trained network in forms that run without WeakLesion."""

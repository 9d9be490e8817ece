"""Actions of ``spanhouse store``, one module each."""

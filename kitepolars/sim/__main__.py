"""``python -m kitepolars.sim``: a simulated Kite that prints its URL and ends with its stdin."""

from kitepolars.sim.standalone import main

if __name__ == "__main__":
    main()

"""Turns connections that end at once into the seconds for which another client with our client id is given way."""

#: Seconds: how long others keep a stolen client id.
SURRENDER = 30.0
LONGEST_SURRENDER = 300.0

#: Early ends in a row that mean: another client uses our client id.
FIGHTS = 3


class Rival:
    """Another client with our client id, if there is one: a broker ends the older connection of the two."""

    def __init__(self) -> None:
        self._fights = 0
        self._surrender = SURRENDER

    def pause(self) -> None:
        """Learn that a connection was not ended as a rival has it done."""
        self._fights = 0

    def forget(self) -> None:
        """Learn that a connection has lasted."""
        self._surrender = SURRENDER

    def give_way(self, *, is_sure: bool, is_fight: bool) -> float | None:
        """Learn of an end; the seconds to leave the client id to the other one, None if there seems to be no rival.

        Fighting helps neither. It `is_fight` if the end came early and without a word, and `is_sure` if the broker says
        that the session was taken over.
        """
        self._fights = self._fights + 1 if is_fight else 0
        if not is_sure and self._fights < FIGHTS:
            return None
        wait, self._surrender = self._surrender, min(self._surrender * 2, LONGEST_SURRENDER)
        self._fights = 0
        return wait

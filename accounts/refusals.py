"""What every “no” of the product is made like: a class a situation, its docstring the sentence that people read."""

from django.utils.translation import gettext


class Refusal(Exception):
    """It cannot be done."""

    code = "refused"

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """The class's docstring in the reader's language, with the facts in it."""
        return gettext(self.__doc__ or "").format(**self.facts)

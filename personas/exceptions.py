"""What can be wrong with a persona, in the words that its reader gets."""

from collections.abc import Mapping, Sequence

from accounts.refusals import Refusal


class PersonaError(Refusal):
    """The persona cannot be used."""

    code = "persona_error"


class UnknownPersona(PersonaError):
    """There is no persona “{persona}” here."""

    code = "unknown_persona"


class UnknownVersion(UnknownPersona):
    """The persona “{persona}” has no version {version}."""

    code = "unknown_persona_version"


class UnpublishedPersona(PersonaError):
    """The persona “{persona}” is not published: publish it first."""

    code = "unpublished_persona"


class NotPublishable(PersonaError):
    """The persona cannot be published as it is: {reasons}"""

    code = "persona_not_publishable"

    def __init__(self, problems: Mapping[str, Sequence[str]]) -> None:
        self.problems = problems
        super().__init__(reasons=" ".join(sentence for sentences in problems.values() for sentence in sentences))


class TemplateError(PersonaError):
    """The text cannot be filled in."""

    code = "persona_template"


class UnknownVariable(TemplateError):
    """There is no variable “{name}” here. Known are: {known}."""


class BrokenVariable(TemplateError):
    """“{piece}” is not a variable: only {{{{ name }}}} is."""


class PromptTooLong(TemplateError):
    """The text has, or can get, {length} characters; at most {most} fit."""

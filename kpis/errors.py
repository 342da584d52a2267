"""What the KPI engine refuses. The docstring is the message a person reads."""

from __future__ import annotations

from majorops.lib.errors import DomainError, Invalid


class UnknownKpi(Invalid):
    """No KPI has this slug."""

    code = "unknown_kpi"


class NothingToCompute(DomainError):
    """This KPI has no formula that runs, so there is nothing to compute."""

    code = "nothing_to_compute"


class NoValuesOfIncidents(DomainError):
    """This KPI keeps no values of single incidents."""

    code = "no_values_of_incidents"


class NothingToVerify(DomainError):
    """No figure is stored yet that could be verified."""

    code = "nothing_to_verify"


class DefinitionChanged(DomainError):
    """The definition was changed while it was computed. Run it again."""

    code = "definition_changed"


class SlugTaken(Invalid):
    """There is a KPI with this slug already."""

    code = "slug_taken"
    status = 409


class KpiRetired(Invalid):
    """This KPI is retired and takes no more observations."""

    code = "kpi_retired"


class WrongUnit(Invalid):
    """The value is in another unit than the KPI."""

    code = "wrong_unit"


class BadClaim(Invalid):
    """This observation cannot be true."""

    code = "invalid_observation"


class KpiNotFound(DomainError):
    """No KPI has this slug."""

    code = "unknown_kpi"
    status = 404


class NoSuchObservation(DomainError):
    """There is no such value of this KPI."""

    code = "unknown_observation"
    status = 404


class NothingToPublish(DomainError):
    """There is no draft: what is saved runs already. Change the formula first."""

    code = "nothing_to_publish"


class SameSetting(DomainError):
    """This is what holds already. Change a weight or a limit first."""

    code = "same_setting"


class EditedMeanwhile(DomainError):
    """Somebody saved this definition while you were editing it. Open it again and repeat your change."""

    code = "edited_meanwhile"


class TooMuchToPreview(DomainError):
    """The preview was stopped: this formula reads more than a page can wait for. Narrow it down and try again."""

    code = "too_much_to_preview"
    status = 422


class NoSuchReport(DomainError):
    """There is no such report. See: mim report list"""

    code = "not_found"
    status = 404

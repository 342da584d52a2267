"""What the KPI engine refuses. The docstring is the message a person reads."""

from __future__ import annotations

from majorops.lib.errors import DomainError, Invalid


class UnknownKpi(Invalid):
    """No KPI has this slug."""

    code = "unknown_kpi"


class NothingToCompute(DomainError):
    """This KPI has no formula that runs, so there is nothing to compute."""

    code = "nothing_to_compute"


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

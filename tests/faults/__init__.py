"""What the tests of interrupted installs share: faults at a chosen step, portraits of machines, and their judgement."""

from faults.injection import Fault, chosen
from faults.judgement import Operation
from faults.trial import Figures, Plan, cut_power, rehearse, summary, try_faults

__all__ = ["Fault", "Figures", "Operation", "Plan", "chosen", "cut_power", "rehearse", "summary", "try_faults"]

"""``genprm eval world``: a critic on problems of ``genprm.synth.world``, resumable, with what it hangs on.

Every ablation judges the same problems; all are kept in one run folder, so that a further one can be asked for later.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from genprm.commands import Work, config_of, critic_of, options_of, reported
from genprm.critic import Critic
from genprm.errors import ConfigError
from genprm.eval.drawing import NO_PICTURES, can_plot, require_plots
from genprm.eval.judging import Name, finished, judge_all
from genprm.eval.report import sum_failures
from genprm.eval.world_report import Trial, WorldReport, build_report
from genprm.eval.world_show import render_report
from genprm.eval.world_votes import Judged, hold_smaller, to_judged
from genprm.protocols import label, make_protocol
from genprm.protocols.genprm import ABLATIONS, Ablation
from genprm.runs import Run, default_folder
from genprm.show import describe, stdout
from genprm.synth.world import Example, examples


def command(args: argparse.Namespace) -> Work:
    """``genprm eval world``: 1 where rows failed."""
    if args.problems < 1:
        raise ConfigError("--problems needs a number above 0")
    _require_apart(options_of(args), args.ablation)
    if args.plot:
        require_plots(args.plot)
    return _command(args, list(examples(args.split, args.problems, difficulty=args.difficulty)))


def _require_apart(options: Mapping[str, str], ablations: Sequence[Ablation]) -> None:
    for ablation in ablations:
        if both := options.keys() & ABLATIONS[ablation].keys():
            raise ConfigError(f"--ablation {ablation} sets {min(both)} itself; leave out --option {min(both)}=…")


async def _command(args: argparse.Namespace, problems: Sequence[Example]) -> int:
    console = stdout()
    solutions = [example.solution for example in problems]
    async with critic_of(args) as critic:
        config = config_of(critic, args, solutions)
        if args.plot and not (critic.method.n > 1 and hold_smaller(critic.method)):
            raise ConfigError(
                "--plot draws F1 over votes, which needs -n 2 at least, --stopping none, and neither "
                "--stop-at-first-error nor --context first nor --protocol judge"
            )
        critics = {name: _ablated(critic, args, name) for name in dict.fromkeys(args.ablation)}
        with Run(Path(args.run) if args.run else default_folder("world", config), config) as run:
            done = finished(run, to_judged, retry_failed=args.retry_failed)
            trials = {name: await _trial(name, problems, each, run, done) for name, each in critics.items()}
            report = build_report(problems, trials, config | {"split": args.split, "difficulty": args.difficulty})
            path = run.write_report(report)
            pictures = _pictures(report, run.folder, args.plot)
    console.print(render_report(report))
    console.print(pictures, style="dim", soft_wrap=True, markup=False)
    return reported(path, _failures(report), console)


def _ablated(critic: Critic, args: argparse.Namespace, ablation: Ablation) -> Critic:
    """The same critic, same engine and sandbox, with something of its protocol switched off."""
    protocol = make_protocol(args.protocol, **options_of(args), **ABLATIONS[ablation])
    method = replace(critic.method, protocol=label(protocol))
    return Critic(critic.engine, critic.sandbox, protocol, method, concurrency=args.concurrency)


async def _trial(
    name: str, problems: Sequence[Example], critic: Critic, run: Run, done: Mapping[Name, Judged]
) -> Trial:
    solutions = [example.solution for example in problems]
    judged = await judge_all(f"judging, {name}", solutions, critic, run, to_judged, done)
    return Trial(judged, critic.method, describe(critic.method))


def _failures(report: WorldReport) -> Mapping[str, int]:
    return sum_failures(arm.whole.failures for arm in report.arms)


# --- pictures ------------------------------------------------------------------------------------------------------


def _pictures(report: WorldReport, folder: Path, plot: str | None) -> str:
    """Draw them, and say where they are."""
    if not can_plot():
        return NO_PICTURES
    from genprm.eval import plots  # matplotlib is an extra

    found = plots.save_all(report, folder)
    if plot and not plots.has_votes(report):
        return f"pictures: {', '.join(map(str, found))}; not {plot}: there are no figures over votes"
    if plot:
        found.append(plots.save(plots.votes(report), Path(plot)))
    return f"pictures: {', '.join(map(str, found))}"

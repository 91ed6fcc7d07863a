"""`make bench`: what becomes of the figures. That the processes run at all is seen by running it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.environments import Environment, World
from benchmarks.installing import BROUGHT, GZIP_ALONE, stage_script
from benchmarks.locking import CHECK, CHECK_LARGE, COLD, THEIR_CHECK, THEIR_LOCK, WARM
from benchmarks.measure import BenchError, Figures, Sample
from benchmarks.report import document, markdown
from benchmarks.subjects import installs
from benchmarks.targets import Result, Verdict, judge

if TYPE_CHECKING:
    from pathlib import Path

OURS = ("ours, gzip", "ours, zstd", "conda-bundler build, gzip", "conda-bundler build, zstd")
AGAIN = ("ours, gzip, unchanged", "ours, gzip, one package changed")
INSTALLS = ("install.sh, gzip", "install.sh, zstd", "tar -x, gzip", "tar -x, zstd", "tar -x and sync, gzip")
OTHERS = ("tar -x and sync, zstd", "rattler install from .conda files", "conda-pack: tar -x, conda-unpack")
WITHOUT_ZSTD = (GZIP_ALONE, BROUGHT)


def figures(name: str, *walls: float, cpu: float = 1.0, peak: int = 100_000_000, size: int = 1000) -> Figures:
    samples = tuple(Sample(wall=wall, cpu=cpu, peak=peak) for wall in walls)
    return Figures(name=name, samples=samples, size=size)


def result(*found: Figures, unpacked: int = 0) -> Result:
    return Result(title="A title", figures={one.name: one for one in found}, unpacked=unpacked, files=7)


def builds(seconds: float, *, unpacked: int = 100, peak: int = 100_000_000) -> Result:
    mine = (figures(name, seconds, peak=peak) for name in OURS)
    return result(*mine, figures("rattler + conda-pack", 12.0, cpu=4.0, peak=900_000_000), unpacked=unpacked)


def verdicts(**results: Result) -> dict[str, Verdict]:
    named = {name.replace("_", " "): one for name, one in results.items()}
    return {verdict.name: verdict for verdict in judge(named)}


class TestFigures:
    def test_the_median_of_times_and_the_worst_of_peaks(self) -> None:
        samples = tuple(Sample(wall=wall, cpu=wall * 2, peak=int(wall)) for wall in (9.0, 1.0, 2.0))
        found = Figures(name="x", samples=samples, size=0)
        assert (found.wall, found.cpu, found.peak) == (2.0, 4.0, 9)


class TestJudge:
    def test_a_build_is_compared_with_conda_packs_default(self) -> None:
        found = verdicts(build_1x=builds(4.0))["build 1x, gzip: conda-pack's time / ours"]
        assert (found.found, found.cpu, found.limit, found.reached) == (3.0, 4.0, 3.0, True)
        assert not verdicts(build_1x=builds(4.1))["build 1x, gzip: conda-pack's time / ours"].reached

    def test_a_payload_is_no_larger(self) -> None:
        found = verdicts(build_1x=builds(4.0))
        assert found["build 1x, gzip: our size / conda-pack's"].reached
        assert not found["build 1x, zstd: our size / conda-pack's"].reached
        assert found["build 1x: a bundle's size, zstd and its decompressor / gzip"].reached

    def test_a_check_is_judged_by_cpu_time_and_wheels_by_the_clock(self) -> None:
        one, many = figures(CHECK, 9.0, cpu=0.29), figures(CHECK_LARGE, 9.0, cpu=0.31)
        check = result(one, many, figures(THEIR_CHECK, 9.0, cpu=2.9))
        found = verdicts(
            build_1x=builds(4.0), check=check, wheels=result(figures(COLD, 14.0, cpu=99), figures(WARM, 2.1, cpu=0.1))
        )
        assert found[f"{CHECK}: CPU seconds"].reached
        assert not found[f"{CHECK_LARGE}: CPU seconds"].reached
        assert found["lock --check: ours / conda-lock --check-input-hash"].cpu == pytest.approx(0.1)
        assert found[f"wheels of an inference API, {COLD}: seconds"].reached
        assert not found[f"wheels of an inference API, {WARM}: seconds"].reached

    def test_locking_may_be_measured_alone(self) -> None:
        many = (figures(CHECK, 9.0, cpu=0.2), figures(CHECK_LARGE, 9.0, cpu=0.3), figures(THEIR_CHECK, 9.0))
        assert [verdict.reached for verdict in verdicts(check=result(*many)).values()] == [True, True, True]

    def test_the_wheels_are_what_a_lock_takes_more_than_without_them(self) -> None:
        conda = result(figures(COLD, 1, cpu=3.0), figures(THEIR_LOCK, 1, cpu=2.0))
        api = result(figures(COLD, 1, cpu=4.0), figures(WARM, 1), figures(THEIR_LOCK, 1, cpu=32.0))
        name = "wheels of an inference API: our CPU time for them / conda-lock's"
        found = verdicts(build_1x=builds(4.0), lock=conda, wheels=api)[name]
        assert found.found == pytest.approx(1 / 30)
        assert found.reached
        api = result(figures(COLD, 1, cpu=5.0), figures(WARM, 1), figures(THEIR_LOCK, 1, cpu=32.0))
        assert not verdicts(build_1x=builds(4.0), lock=conda, wheels=api)[name].reached

    def test_of_what_gave_up_the_time_until_then_counts(self) -> None:
        """Less than all, so that the ratio is no better than it would be."""
        conda = result(figures(COLD, 1, cpu=3.0), figures(THEIR_LOCK, 1, cpu=8.0))
        gave_up = Figures(name=THEIR_LOCK, samples=(Sample(wall=9, cpu=168, peak=1, gave_up="no"),), size=0)
        api = result(figures(COLD, 1, cpu=5.0), figures(WARM, 1), gave_up)
        found = verdicts(build_1x=builds(4.0), lock=conda, wheels=api)
        name = "wheels of an inference API: our CPU time for them / conda-lock's, which gives up"
        assert found[name].found == pytest.approx(1 / 80)

    def test_a_rebuild_is_compared_with_the_first_build_beside_it(self) -> None:
        again = result(figures("ours, gzip, first build", 4.0), *(figures(name, 1.9) for name in AGAIN))
        found = verdicts(build_1x=builds(99.0), rebuild_1x=again, rebuild_10x=again)
        assert found["rebuild 1x, one package changed / first build"].found == pytest.approx(0.475)
        assert found["rebuild 1x, one package changed / first build"].reached
        assert not found["rebuild 10x, one package changed / first build"].reached

    def test_growth_is_that_of_the_time_over_that_of_the_bytes(self) -> None:
        beside = (figures(f"{name}, 1x", 4.0) for name in OURS)
        large = result(*builds(13.2).figures.values(), *beside, unpacked=300)
        found = verdicts(build_1x=builds(99.0, unpacked=100), build_3x=large)
        assert found["growth 1x to 3x, gzip: of the time / of the bytes"].found == pytest.approx(1.1)
        assert not found["growth 1x to 3x, gzip: of the time / of the bytes"].reached

    def test_only_our_builds_count_for_the_peak_and_all_of_them(self) -> None:
        peak = "peak memory of all our builds, MB"
        found = verdicts(build_1x=builds(4.0), build_giant=builds(1.0, peak=299_000_000))[peak]
        assert (found.found, found.reached) == (299.0, True)
        assert not verdicts(build_1x=builds(4.0), build_giant=builds(1.0, peak=301_000_000))[peak].reached

    def test_installs_are_compared_each_with_its_own(self) -> None:
        plain = [figures(name, 2.0) for name in (*INSTALLS, *OTHERS, *WITHOUT_ZSTD)]
        moved = figures("install.sh, gzip, another root", 3.0)
        found = verdicts(build_1x=builds(4.0), install=result(*plain, moved))
        assert len([name for name in found if "install" in name]) == 8
        assert found["install, gzip: ours / tar -x"].found == 1.0
        assert not found["install at another root: ours / tar -x and conda-unpack"].reached


class TestReport:
    def test_the_table_says_what_was_missed(self) -> None:
        results = {"build 1x": builds(5.0)}
        text = markdown({"processor": "abacus"}, results.values(), judge(results))
        assert "| build 1x, gzip: conda-pack's time / ours | at least 3 | 2.40 | 4.00 | **miss** |" in text
        assert "| ours, gzip | 5.00 | 1.00 | 100 | 0.0 |" in text
        assert text.endswith("processor abacus.")

    def test_what_gave_up_has_not_won(self) -> None:
        reason = "gives up: no candidates for x"
        gave_up = Figures(name=THEIR_LOCK, samples=(Sample(wall=9, cpu=168, peak=1, gave_up=reason),), size=0)
        found = {"wheels": result(gave_up, figures(COLD, 1.0))}
        assert f"| {THEIR_LOCK}: **{reason}**, after | 9.00 | 168.00 | 0 |  |" in markdown({}, found.values(), ())
        (first, second) = json.loads(document({}, found.values(), ()))["results"][0]["subjects"]
        assert (first["gave_up"], second["gave_up"]) == (reason, "")

    def test_the_document_has_every_run(self) -> None:
        results = {"build 1x": builds(5.0)}
        read = json.loads(document({}, results.values(), judge(results)))
        (first, *_) = read["results"][0]["subjects"]
        assert first["samples"] == [{"cpu": 1.0, "gave_up": "", "peak": 100_000_000, "wall": 5.0}]
        assert {target["reached"] for target in read["targets"]} == {True, False}


class TestStageScript:
    INSTALL = (
        "#!/bin/sh\nBAKED_ROOT=/opt/bench\nSTAGE_NAME=.1.partial\n\nverify_bundle() {\n:\n}\n"
        "\ngzip_reader() {\n:\n}\n\nneeds_decompressor() {\n:\n}\n\n"
        'stage_release() {\n:\n}\n\nrelocate() {\n:\n}\n\nmain "$@"\nexit 1\n'
    )

    def test_it_is_install_sh_with_another_end(self, tmp_path: Path) -> None:
        (tmp_path / "install.sh").write_text(self.INSTALL)
        text = stage_script(tmp_path, tmp_path / "a root" / "here").read_text()
        assert text.startswith(self.INSTALL.partition("\nmain")[0])
        assert f"\nROOT='{tmp_path}/a root/here'\nBAKED_ROOT=$ROOT\n" in text
        assert 'main "$@"' not in text
        assert "\nverify_bundle\nstage_release\nend_well\n" in text

    def test_for_another_root_the_baked_one_stays(self, tmp_path: Path) -> None:
        (tmp_path / "install.sh").write_text(self.INSTALL)
        assert "BAKED_ROOT=$ROOT" not in stage_script(tmp_path, tmp_path / "here", relocate=True).read_text()

    def test_a_machine_without_zstd(self, tmp_path: Path) -> None:
        (tmp_path / "install.sh").write_text(self.INSTALL)
        text = stage_script(tmp_path, tmp_path / "here", without_zstd=True).read_text()
        assert text.rindex("\ngzip_reader() { echo gzip; }\n") > text.index("\ngzip_reader() {\n")
        assert text.rindex("\nneeds_decompressor() { [") > text.index("\nneeds_decompressor() {\n")
        assert "echo gzip" not in stage_script(tmp_path, tmp_path / "here").read_text()

    @pytest.mark.parametrize(
        "part",
        ['main "$@"', "gzip_reader() {", "needs_decompressor() {", "stage_release() {", "relocate() {", "STAGE_NAME="],
    )
    def test_an_install_sh_that_has_changed_is_no_figure(self, part: str, tmp_path: Path) -> None:
        (tmp_path / "install.sh").write_text(self.INSTALL.replace(part, ":"))
        with pytest.raises(BenchError):
            stage_script(tmp_path, tmp_path / "here")


class TestInstalls:
    def test_each_run_finds_its_place_empty_and_nothing_is_deleted_for_it(self, tmp_path: Path) -> None:
        for codec, suffix in (("gzip", "gz"), ("zstd", "zst")):
            bundle = tmp_path / "bundles" / codec / "bench"
            bundle.mkdir(parents=True)
            (bundle / "install.sh").write_text(TestStageScript.INSTALL)
            (bundle / f"payload.tar.{suffix}").touch()
        world = World(room=tmp_path, environ={}, environments={})
        goal = tmp_path / "installed"
        subjects = installs(world, Environment(name="1x", project=tmp_path), goal)

        for turn in range(3):
            for subject in subjects:
                subject.before()
            places = [path for path in goal.glob("*/releases") if path.is_dir()]
            assert len(places) == 5
            assert not any(list(path.iterdir()) for path in places)
            for path in places:
                (path / str(turn)).touch()

        assert len(list(goal.glob("*/releases*/[012]"))) == 15

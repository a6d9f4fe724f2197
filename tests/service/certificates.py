"""Certificates for tests over TLS, made by openssl."""
import os
import subprocess


def certificates(folder):
    """
    An authority, and certificates by it: of localhost (good), of localhost but expired, of another host (other); and one of
    localhost signed by itself (self). Where a file of them is, by its name.
    """
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *new, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tickbus test authority")
    with open(os.path.join(folder, "ca.conf"), "w", encoding="ascii") as conf:
        conf.write("[ca]\ndefault_ca=a\n[a]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n"
                   "copy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n")
    open(os.path.join(folder, "index"), "w", encoding="ascii").close()
    with open(os.path.join(folder, "serial"), "w", encoding="ascii") as serial:
        serial.write("01\n")
    for name, host, until_when in (("good", "localhost", "20400101000000Z"), ("expired", "localhost", "20200102000000Z"),
                                   ("other", "elsewhere.example", "20400101000000Z")):
        openssl("req", *new, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + host, "-addext", "subjectAltName=DNS:" + host)
        openssl("ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", name + ".csr", "-out", name + ".pem",
                "-startdate", "20200101000000Z", "-enddate", until_when, "-notext")
    openssl("req", "-x509", *new, "-days", "2", "-keyout", "self.key", "-out", "self.pem", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost")
    return lambda name: os.path.join(folder, name)

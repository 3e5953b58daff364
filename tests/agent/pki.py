# SPDX-License-Identifier: Apache-2.0
"""pki: an authority by certtool, which signs what tests want, also what no Manager would."""

import datetime
import os
import re
import subprocess


def run(*command, data=None):
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    assert done.returncode == 0, "%s: %s" % (" ".join(command), done.stderr.decode())
    return done.stdout


class Authority:
    def __init__(self, folder, name="Test CA"):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.key, self.pem = self.path("ca.key"), self.path("ca.pem")
        if not os.path.exists(self.pem):
            run("certtool", "--generate-privkey", "--key-type", "rsa", "--bits", "2048",
                "--no-text", "--outfile", self.key)
            self.template("ca.cfg", 'cn = "%s"\nca\ncert_signing_key\nexpiration_days = 3650\n' % name)
            run("certtool", "--generate-self-signed", "--load-privkey", self.key, "--template",
                self.path("ca.cfg"), "--outfile", self.pem)

    def path(self, name):
        return os.path.join(self.folder, name)

    def template(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        return self.path(name)

    def text(self):
        with open(self.pem, encoding="ascii") as file:
            return file.read()

    def sign(self, request, days_ago=0, days_left=365, names=("127.0.0.1",)):
        """A certificate for the key of @request (PEM), begun @days_ago, for @days_left more.  certtool
        takes the subject from the request, which no Manager does."""
        now = datetime.datetime.now(datetime.timezone.utc)
        form = "%Y-%m-%d %H:%M:%S UTC"
        text = 'cn = "%s"\n' % names[0]
        for name in names:
            text += ('ip_address = "%s"\n' if re.match(r"[0-9.:]+$", name)
                     else 'dns_name = "%s"\n') % name
        text += "tls_www_server\ntls_www_client\nsigning_key\nencryption_key\n"
        text += 'activation_date = "%s"\n' % (now - datetime.timedelta(days_ago, 3600)).strftime(form)
        text += 'expiration_date = "%s"\n' % (now + datetime.timedelta(days_left)).strftime(form)
        with open(self.path("request.pem"), "w", encoding="ascii") as file:
            file.write(request)
        return run("certtool", "--generate-certificate", "--load-request",
                   self.path("request.pem"), "--load-ca-certificate", self.pem,
                   "--load-ca-privkey", self.key, "--template",
                   self.template("leaf.cfg", text), "--no-text").decode()

    def identity(self, name, unit=None, key=None):
        """Paths of a certificate for @name and of its key, which is made unless @key has one."""
        certificate, fresh = self.path(name + ".pem"), self.path(name + ".key")
        if not key:
            run("openssl", "genrsa", "-out", fresh, "2048")
        subject = "/O=Test%s/CN=%s" % ("/OU=" + unit if unit else "", name)
        request = run("openssl", "req", "-new", "-key", key or fresh, "-subj", subject)
        with open(certificate, "w", encoding="ascii") as file:
            file.write(self.sign(request.decode(), names=(name,)))
        return certificate, key or fresh

    def server(self, names=("localhost", "127.0.0.1")):
        """Paths of a certificate and key for an HTTPS server."""
        key, certificate = self.path("server.key"), self.path("server.pem")
        run("openssl", "genrsa", "-out", key, "2048")
        request = run("openssl", "req", "-new", "-key", key, "-subj", "/CN=x").decode()
        with open(certificate, "w", encoding="ascii") as file:
            file.write(self.sign(request, names=names))
        return certificate, key


def fingerprint(path):
    """'AA:BB:…' of the certificate at @path, as openssl prints it."""
    return run("openssl", "x509", "-in", path, "-noout", "-fingerprint",
               "-sha256").decode().strip().split("=")[1]


def public_key(pem, kind):
    return run("openssl", kind, "-noout", "-pubkey", data=pem.encode()).decode()

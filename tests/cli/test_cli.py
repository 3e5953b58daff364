# SPDX-License-Identifier: Apache-2.0
"""The program vireo against a server with canned answers: what it sends, prints and returns."""

import hashlib
import json
import os
import pty
import re
import signal
import ssl
import stat
import struct
import subprocess
import tempfile
import unittest

import server
from server import ID, PASSWORD

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VIREO = os.environ.get("VIREO", os.path.join(ROOT, "build", "src", "cli", "vireo"))
DONE, FAILED, USAGE, NOT_FOUND, LOGIN, CONNECT, CONFLICT = range(7)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        server.make_authority(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.site = server.Manager(self.folder.name)
        self.addCleanup(self.site.close)
        self.config = self.path("config-%s" % self.id().rsplit(".", 1)[-1])
        self.environment = {"PATH": os.environ["PATH"], "VIREO_CONFIG": self.config,
                            "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        self.write("password", PASSWORD + "\n")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        return self.path(name)

    def vireo(self, *arguments, code=DONE, text="", **environment):
        """Runs it without a terminal; checks the exit code; returns stdout and sets .errors."""
        done = subprocess.run([VIREO, *arguments], input=text, capture_output=True, text=True,
                              timeout=60, start_new_session=True,
                              env=dict(self.environment, **environment))
        self.errors = done.stderr
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        if code != DONE:
            self.assertRegex(done.stderr, r"^vireo: [A-Z].*\S\n$")
        return done.stdout

    def log_in(self):
        self.vireo("login", self.site.url(), "--user", "admin@internal", "--password-file",
                   self.path("password"), "--ca-file", self.path("ca.pem"), "-q")


class Session(Case):
    def test_login_keeps_the_session_in_a_file_of_the_user_alone(self):
        self.log_in()
        self.assertEqual(stat.S_IMODE(os.stat(self.config).st_mode), 0o600)
        with open(self.config, encoding="ascii") as file:
            self.assertNotIn("secret", file.read())
        self.assertEqual(self.vireo("vm", "list", "-o", "name", "--search", "x").split()[0], "web1")

    def test_logout_ends_the_session_on_both_sides(self):
        self.log_in()
        self.assertEqual(len(self.site.tokens), 1)
        self.vireo("logout")
        self.assertEqual(self.site.tokens, set())
        self.vireo("vm", "list", code=LOGIN)
        self.vireo("logout", code=LOGIN)

    def test_a_wrong_password_is_told_with_its_own_code(self):
        wrong = self.write("wrong", "nonsense\n")
        self.vireo("login", self.site.url(), "--user", "a@b", "--password-file", wrong,
                   "--ca-file", self.path("ca.pem"), code=LOGIN)
        self.assertIn("incorrect", self.errors)
        self.assertFalse(os.path.exists(self.config))

    def test_an_ended_session_asks_for_a_login(self):
        self.log_in()
        self.site.tokens.clear()
        self.vireo("vm", "list", code=LOGIN)
        self.assertIn("vireo login", self.errors)

    def test_options_and_environment_log_in_for_one_command_and_out_again(self):
        self.vireo("vm", "list", "--url", self.site.url(), "--user", "admin@internal",
                   "--password-file", self.path("password"), "--ca-file", self.path("ca.pem"))
        self.assertEqual(self.site.tokens, set())
        self.assertFalse(os.path.exists(self.config))
        self.vireo("vm", "list", VIREO_URL=self.site.url(), VIREO_USER="admin@internal",
                   VIREO_PASSWORD_FILE=self.path("password"), VIREO_CA_FILE=self.path("ca.pem"))
        self.assertEqual(len(self.site.asked("POST", "sso-logout")), 2)

    def test_a_session_never_goes_to_another_address(self):
        self.log_in()
        before = len(self.site.requests)
        self.vireo("vm", "list", "--url", self.site.url(self.site.daemon), code=LOGIN)
        self.assertEqual(len(self.site.requests), before)

    def test_an_unknown_or_wrong_authority_gets_no_password(self):
        for more in ((), ("--ca-file", self.path("other.pem"))):
            self.vireo("login", self.site.url(), "--user", "a@b", "--password-file",
                       self.path("password"), *more, code=CONNECT)
            self.assertIn("--ca-file", self.errors)
        self.assertEqual(self.site.asked("POST", "token"), [])

    def test_the_right_fingerprint_is_trusted_and_a_wrong_one_is_not(self):
        with open(self.path("ca.pem"), encoding="ascii") as file:
            digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()
        login = ("login", self.site.url(), "--user", "a@b", "--password-file",
                 self.path("password"), "--fingerprint")
        self.vireo(*login, "00" * 32, code=CONNECT)
        self.assertEqual(self.site.asked("POST", "token"), [])
        self.vireo(*login, ":".join(re.findall("..", digest.upper())))
        self.vireo("vm", "list")

    def test_a_configuration_that_others_can_read_is_refused(self):
        self.log_in()
        os.chmod(self.config, 0o644)
        self.vireo("vm", "list", code=FAILED)
        self.assertIn("chmod 600", self.errors)

    def test_addresses_without_tls_or_with_a_password_are_refused(self):
        for url in ("http://127.0.0.1", "https://a:b@127.0.0.1", "ftp://x", "https://x/y", "a b"):
            self.vireo("vm", "list", "--url", url, code=USAGE)

    def test_nobody_there_is_told_with_its_own_code(self):
        url = self.site.url()
        self.log_in()
        self.site.close()
        self.vireo("vm", "list", code=CONNECT)
        self.assertIn(url, self.errors)

    def test_a_token_answer_of_a_million_bytes_is_refused(self):
        self.vireo("login", self.site.url(), "--user", "huge@internal", "--password-file",
                   self.path("password"), "--ca-file", self.path("ca.pem"), code=FAILED)
        self.assertIn("larger than", self.errors)


class Machines(Case):
    def setUp(self):
        super().setUp()
        self.log_in()

    def test_a_table_shows_names_for_ids_and_no_control_characters(self):
        rows = self.vireo("vm", "list").split("\n")
        self.assertRegex(rows[0], r"^NAME +STATUS +HOST +CLUSTER +CPUS +MEMORY +ID$")
        self.assertRegex(rows[1], r"^web1 +down +- +Default +4 +1\.0.GiB +" + ID % 1)
        self.assertIn("evil?[31m?", rows[5])

    def test_json_is_what_the_manager_said(self):
        self.assertEqual(json.loads(self.vireo("vm", "list", "-o", "json")), self.site.vms)
        self.assertEqual(json.loads(self.vireo("vm", "show", "web1", "-ojson")), self.site.vms[0])

    def test_yaml_quotes_what_is_not_plainly_text(self):
        text = self.vireo("vm", "show", ID % 1, "-o", "yaml")
        for line in ("name: web1", 'memory: "1073741824"', "creation_time: 1714559696789",
                     'id: "%s"' % (ID % 1), '    sockets: "2"', "  - href: /x", "    rel: nics"):
            self.assertIn(line + "\n", text)
        self.assertIn('name: "evil\\u001b[31m\\u0007"', self.vireo("vm", "show", ID % 5, "-oyaml"))

    def test_yaml_reads_back_as_the_json(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("python3-yaml is missing")
        self.assertEqual(yaml.safe_load(self.vireo("vm", "list", "-o", "yaml")), self.site.vms)

    def test_an_unknown_name_and_an_unknown_id_are_not_found(self):
        self.vireo("vm", "show", "nobody", code=NOT_FOUND)
        self.vireo("vm", "show", ID % 99, code=NOT_FOUND)

    def test_an_ambiguous_name_asks_for_the_id(self):
        self.vireo("vm", "stop", "twin", code=USAGE)
        self.assertEqual(self.site.asked("POST", "/stop"), [])

    def test_a_name_that_no_search_can_hold_is_found_all_the_same(self):
        self.site.vms[0]["name"] = "a\"b';*"
        self.assertIn(ID % 1, self.vireo("vm", "show", "a\"b';*"))

    def test_starting_waits_and_starting_twice_is_a_conflict(self):
        self.vireo("vm", "start", "web1", "--wait")
        self.assertEqual(self.site.vms[0]["status"], "up")
        self.vireo("vm", "start", "web1", code=CONFLICT)
        self.assertIn("Cannot run VM. VM is running.", self.errors)

    def test_every_name_gets_its_turn_and_the_first_failure_decides(self):
        self.vireo("vm", "stop", "nobody", "web2", code=NOT_FOUND)
        self.assertEqual(self.site.vms[1]["status"], "down")

    def test_removing_waits_until_it_is_gone(self):
        self.vireo("vm", "remove", "web1", "--keep-disks", "--wait")
        self.assertEqual(len(self.site.asked("DELETE", ID % 1 + r"\?detach_only=true$")), 1)
        self.vireo("vm", "show", "web1", code=NOT_FOUND)

    def test_creating_sends_all_that_was_asked_for(self):
        self.site.disks[ID % 60] = {"id": ID % 60, "name": "root", "status": "ok"}
        name = self.vireo("vm", "create", "new", "--memory", "2G", "--cpus", "3", "--disk", "root",
                          "--nic", "ovirtmgmt", "--start", "--wait", "-o", "name")
        self.assertEqual(name, "new\n")
        body = json.loads(self.site.asked("POST", "/vms$")[0][4])
        self.assertEqual(body, {"name": "new", "cluster": {"id": ID % 900},
                                "template": {"id": ID % 0}, "memory": "2147483648",
                                "cpu": {"topology": {"sockets": "3", "cores": "1",
                                                     "threads": "1"}}})
        attached = json.loads(self.site.asked("POST", "/diskattachments$")[0][4])
        self.assertEqual((attached["disk"]["id"], attached["bootable"]), (ID % 60, "true"))
        nic = json.loads(self.site.asked("POST", "/nics$")[0][4])
        self.assertEqual(nic["vnic_profile"]["id"], ID % 910)
        self.assertEqual(self.site.vms[-1]["status"], "up")

    def test_memory_takes_what_the_template_says_about_it_along(self):
        for size, policy in (("512M", {"guaranteed": str(512 << 20)}), ("2G", None),
                             ("8GiB", {"max": str(8 << 30)})):
            self.site.requests.clear()
            self.vireo("vm", "create", "new", "--memory", size)
            body = json.loads(self.site.asked("POST", "/vms$")[0][4])
            self.assertEqual(body.get("memory_policy"), policy)

    def test_a_machine_that_does_not_get_its_disk_is_removed_again(self):
        self.site.disks["x"] = {"id": ID % 61, "name": "busy", "status": "ok"}
        self.vireo("vm", "create", "new", "--disk", "busy", code=CONFLICT)
        self.assertNotIn("new", [v["name"] for v in self.site.vms])

    def test_the_console_file_goes_to_stdout_and_a_stopped_machine_has_none(self):
        self.assertEqual(self.vireo("vm", "console", "web2", DISPLAY=":0"),
                         "[virt-viewer]\ntype=vnc\n")
        self.vireo("vm", "console", "web1", code=CONFLICT)
        self.vireo("vm", "console", "web2", "--type", "spice", code=CONFLICT)

    def test_the_console_file_goes_to_a_file_of_the_user_alone(self):
        for before in (None, 0o644):
            path = self.path("console.vv")
            if before:
                os.chmod(path, before)
            self.assertEqual(self.vireo("vm", "console", "web2", "--file", path), "")
            with open(path, encoding="ascii") as file:
                self.assertEqual(file.read(), "[virt-viewer]\ntype=vnc\n")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.vireo("vm", "console", "web2", "--file", self.path("no/such"), code=FAILED)
        code, shown, _ = self.on_terminal("vm", "console", "web2", "--file", "-")
        self.assertEqual((code, shown.split()), (DONE, ["[virt-viewer]", "type=vnc"]))
        self.assertFalse(os.path.exists("-"))
        self.vireo("vm", "console", "web2", "--file", path, "--print", code=USAGE)
        self.assertEqual([name for name in os.listdir(self.folder.name)
                          if name.startswith("console.vv.")], [])

    def on_terminal(self, *arguments, **environment):
        """Runs it with a terminal for its output: (exit code, what it showed, stderr)."""
        mine, theirs = pty.openpty()
        with subprocess.Popen([VIREO, *arguments], stdin=subprocess.DEVNULL, stdout=theirs,
                              stderr=subprocess.PIPE, text=True,
                              env=dict(self.environment, **environment)) as process:
            os.close(theirs)
            errors = process.stderr.read()
            code = process.wait(60)
        try:
            shown = os.read(mine, 65536).decode()
        except OSError:  # nothing was written
            shown = ""
        os.close(mine)
        return code, shown, errors

    def test_on_a_terminal_the_viewer_gets_a_private_file(self):
        folder = tempfile.mkdtemp(dir=self.folder.name)
        viewer = os.path.join(folder, "remote-viewer")
        with open(viewer, "w", encoding="ascii") as file:
            file.write('#!/bin/sh\nstat -c %a "$2"\ncat "$2"\nrm "$2"\necho "$1"\n')
        os.chmod(viewer, 0o755)
        code, shown, errors = self.on_terminal(
            "vm", "console", "web2", DISPLAY=":0", TMPDIR=folder,
            PATH=folder + ":" + os.environ["PATH"])
        self.assertEqual((code, errors), (DONE, ""))
        self.assertEqual(shown.split(), ["600", "[virt-viewer]", "type=vnc", "--"])
        self.assertEqual(os.listdir(folder), ["remote-viewer"])

    def test_without_a_viewer_or_a_display_nothing_is_asked_for(self):
        empty = tempfile.mkdtemp(dir=self.folder.name)
        with open(os.path.join(empty, "remote-viewer"), "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n")
        before = len(self.site.requests)
        code, shown, errors = self.on_terminal("vm", "console", "web2", DISPLAY=":0", PATH=empty)
        self.assertEqual((code, shown), (FAILED, ""))
        self.assertIn("virt-viewer", errors)
        os.chmod(os.path.join(empty, "remote-viewer"), 0o755)
        code, shown, errors = self.on_terminal("vm", "console", "web2", PATH=empty)
        self.assertEqual((code, shown), (FAILED, ""))
        self.assertIn("display", errors)
        self.assertEqual(len(self.site.requests), before)


class Rest(Case):
    def setUp(self):
        super().setUp()
        self.log_in()

    def test_api_passes_bodies_of_both_kinds(self):
        for body, kind in (('{"a":1}', "application/json"), ("<vm/>", "application/xml")):
            for arguments, text in ((("POST", "/echo", body), ""), (("PUT", "/echo", "-"), body)):
                said = json.loads(self.vireo("api", *arguments, text=text))
                self.assertEqual((said["method"], said["body"], said["type"]),
                                 (arguments[0], body, kind))

    def test_api_takes_an_href_of_an_answer(self):
        self.assertIn("web1", self.vireo("api", "GET", "/ovirt-engine/api/vms/" + ID % 1))

    def test_paths_that_leave_the_api_are_refused(self):
        before = len(self.site.requests)
        for path in ("vms", "https://x/", "/a b", "/../x", "/a/..?b", "/a#b", "/a\r\nX: y"):
            self.vireo("api", "GET", path, code=USAGE)
        self.assertEqual(len(self.site.requests), before)

    def test_no_redirect_is_followed(self):
        self.vireo("api", "GET", "/away", code=FAILED)
        self.assertEqual([r for r in self.site.requests if r[0] == "daemon"], [])

    def test_an_answer_of_two_hundred_levels_is_refused(self):
        self.vireo("api", "GET", "/deep", code=FAILED)

    def test_a_forbidden_call_says_whom_to_ask(self):
        self.vireo("api", "GET", "/forbidden", code=FAILED)
        self.assertIn("not authorized", self.errors)
        self.assertIn("administrator", self.errors)

    def test_events_come_oldest_first(self):
        said = self.vireo("event", "list", "-o", "json")
        self.assertEqual([e["id"] for e in json.loads(said)], ["1", "2", "3"])
        self.assertIn("2024-05-01 10:34:56", self.vireo("event", "list", "--max", "1"))

    def test_following_prints_each_new_event_once_until_stopped(self):
        with subprocess.Popen([VIREO, "event", "list", "--follow", "-o", "name"],
                              stdout=subprocess.PIPE, text=True, env=self.environment) as program:
            try:
                first = [program.stdout.readline() for _ in range(3)]
                self.site.events.insert(0, dict(self.site.events[0], id="7"))
                first.append(program.stdout.readline())
                program.send_signal(signal.SIGINT)
                rest = program.stdout.read()
            finally:
                program.kill()
        self.assertEqual((first, rest), (["1\n", "2\n", "3\n", "7\n"], ""))
        self.assertEqual(program.returncode, 130)


class Upload(Case):
    CHUNK = 4 << 20

    def setUp(self):
        super().setUp()
        self.log_in()

    def image(self):
        """Data, a hole of two chunks, data; the end is not a whole sector."""
        return os.urandom(self.CHUNK) + bytes(2 * self.CHUNK) + os.urandom(1000)

    def test_a_raw_image_arrives_whole_and_filled_up_to_a_sector(self):
        for features in (["zero", "flush"], []):
            self.site.features, self.site.image = features, bytearray()
            data = self.image()
            name = self.vireo("disk", "upload", self.write("disk.img", data), "-o", "name")
            self.assertEqual(name, "disk.img\n")
            self.assertEqual(bytes(self.site.image), data + bytes(24))
            self.assertEqual(self.site.disks[ID % 60]["provisioned_size"], str(len(data) + 24))
        self.assertEqual(len(self.site.asked("PATCH", "", "daemon")), 2)
        self.assertEqual(len(self.site.asked("PUT", "flush=y", "daemon")), 2)

    def test_the_token_never_goes_to_the_image_daemon(self):
        self.vireo("disk", "upload", self.write("disk.img", self.image()))
        daemon = [r for r in self.site.requests if r[0] == "daemon"]
        self.assertTrue(daemon)
        self.assertEqual([r for r in daemon if r[3].get("Authorization")], [])

    def test_a_qcow2_image_says_its_own_size_and_goes_byte_by_byte(self):
        head = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, 10 << 30)
        data = head + bytes(self.CHUNK) + b"end"
        self.vireo("disk", "upload", self.write("d.qcow2", data), "--name", "root")
        disk = self.site.disks[ID % 60]
        self.assertEqual((disk["name"], disk["format"], disk["provisioned_size"],
                          disk["initial_size"]), ("root", "cow", str(10 << 30), str(len(data))))
        self.assertEqual(bytes(self.site.image), data)

    def test_an_image_with_a_backing_file_is_refused_before_anything_is_made(self):
        head = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 104, 4, 16, 1 << 30)
        self.vireo("disk", "upload", self.write("b.qcow2", head), code=USAGE)
        self.assertEqual(self.site.asked("POST", "/disks"), [])

    def test_a_failed_upload_leaves_neither_transfer_nor_disk(self):
        self.site.break_after = self.CHUNK
        self.vireo("disk", "upload", self.write("disk.img", self.image()), code=FAILED)
        self.assertIn("ticket expired", self.errors)
        self.assertEqual(self.site.transfer["phase"], "finished_cleanup")
        self.assertEqual(self.site.disks, {})

    def test_empty_missing_and_special_files_are_refused(self):
        for path in (self.write("empty", ""), self.path("none"), "/dev/zero", self.folder.name):
            self.vireo("disk", "upload", path, code=USAGE)


class Documents(Case):
    """The table of commands against help, completion, manual page."""

    def setUp(self):
        super().setUp()
        rows = [line.split("\t") for line in self.vireo("help", "--table").splitlines()]
        self.commands = {r[1]: (r[2], r[3]) for r in rows if r[0] == "command"}
        self.options = {r[1]: (r[2], r[3]) for r in rows if r[0] == "option"}
        with open(os.path.join(ROOT, "src", "cli", "vireo.1"), encoding="ascii") as file:
            self.manual = file.read().replace("\\-", "-")
        with open(os.path.join(ROOT, "src", "cli", "completions", "vireo.bash"),
                  encoding="ascii") as file:
            self.completion = file.read()

    def test_the_manual_lists_exactly_these_commands_and_arguments(self):
        section = self.manual.split(".SH COMMANDS")[1].split(".SH")[0]
        entries = {}
        for line in re.findall(r"^\.TP\n\.B (.*)$", section, re.M):
            name = re.match(r"[a-z]+( [a-zA-Z]+)?(?= |$)", line)[0]
            entries[name] = re.sub(r"\\f.", "", line[len(name):]).strip()
        self.assertEqual(entries, {name: args for name, (args, _) in self.commands.items()})

    def test_the_manual_explains_exactly_these_options(self):
        section = self.manual.split(".SH OPTIONS")[1].split(".SH")[0]
        heads = "".join(re.findall(r"^\.TP\n(.*)$", section, re.M))
        self.assertEqual(sorted(re.findall(r"--([a-z-]+)", heads)), sorted(self.options))

    def test_every_option_of_a_command_exists(self):
        used = set()
        for _, own in self.commands.values():
            used |= set(own.split())
        everywhere = {name for name, (_, scope) in self.options.items() if scope}
        self.assertEqual(used | everywhere, set(self.options))

    def test_the_completion_knows_exactly_the_table(self):
        table = re.search(r"_vireo_commands='(.*?)'", self.completion, re.S)[1]
        self.assertEqual(dict(line.split("|") for line in table.split("\n")),
                         {name: own for name, (_, own) in self.commands.items()})
        values = re.search(r"_vireo_values='(.*?)'", self.completion, re.S)[1].split()
        self.assertEqual(set(values), {n for n, (value, _) in self.options.items() if value})
        common = re.search(r"_vireo_options='(.*?)'", self.completion, re.S)[1].split()
        self.assertEqual(set(common), {n for n, (_, scope) in self.options.items() if scope})

    def test_the_completion_completes(self):
        rows = ((["vireo", "vm", "sh"], {"show", "shutdown"}),
                (["vireo", "event", "list", "--fo"], {"--follow"}),
                (["vireo", "vm", "list", "-o", "y"], {"yaml"}),
                (["vireo", "lo"], {"login", "logout"}))
        for words, wanted in rows:
            script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _vireo; ' \
                     'printf "%s\\n" "${COMPREPLY[@]}"'
            done = subprocess.run(["bash", "-c", script, "-", os.path.join(
                ROOT, "src", "cli", "completions", "vireo.bash"), *words],
                capture_output=True, text=True, check=True)
            self.assertEqual(set(done.stdout.split()), wanted)

    def test_every_command_has_help(self):
        for name in self.commands:
            self.assertIn("Usage: vireo " + name, self.vireo(*name.split(), "--help"))
            self.assertIn("  %s" % name, self.vireo("help"))

    def test_wrong_lines_are_usage_errors(self):
        for line in ("vm", "vm lst", "vm show", "vm show a b", "vm list --follow", "vm list -o xml",
                     "vm list --max 0", "vm list --max", "--nonsense", "vm list --quiet=1",
                     "vm list -x", "api PATCH /vms", "help nothing"):
            self.vireo(*line.split(), code=USAGE)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""Kills the Manager between two steps of a job, without a switch in the Manager: the database, which
the test owns, holds back the transaction that records a step.  What the Manager had done before is
then done; whether the record arrived is the test's choice."""

import os
import signal
import subprocess
import threading

import ovirtsdk4 as sdk

from helpers import connect, wait_for

LOCK = 7  # of pg_advisory_lock(); the Manager's own is another

MAKE = """
set client_min_messages = warning;
create sequence if not exists halts;
create or replace function halt() returns trigger language plpgsql as $$
begin
    if new.doc->>'job_type' = tg_argv[0] and nextval('halts') = any (tg_argv[1]::int[]) then
        perform pg_advisory_xact_lock(%d);
    end if;
    return new;
end $$;
""" % LOCK


class Halt:
    """Holds back some of the transactions that write a job: as a context manager."""

    def __init__(self, site, job_type, numbers):
        """@numbers count the changes of jobs of that type from now on, the first is 1."""
        self.site = site
        self.ask(MAKE + """
            alter sequence halts restart;
            create or replace trigger halt after insert or update on job for each row
                execute function halt('%s', '{%s}');""" % (job_type, ",".join(map(str, numbers))))
        self.holder = None
        self._hold()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()
        self.ask("drop trigger if exists halt on job")

    def _psql(self, **named):
        home = self.site.path("db")
        if os.path.exists(os.path.join(home, "location")): # where the path was too long for a socket
            with open(os.path.join(home, "location"), encoding="utf-8") as file:
                home = file.read().strip()
        return subprocess.Popen(["psql", "-h", os.path.join(home, "run"), "-U", "vireo", "-qAt", "-v",
                                 "ON_ERROR_STOP=1", "vireo"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True, **named)

    def ask(self, sql):
        psql = self._psql()
        answer = psql.communicate(sql + ";")[0].strip()
        assert psql.returncode == 0, sql
        return answer

    def _hold(self):
        self.holder = self._psql()
        self.holder.stdin.write("select pg_advisory_lock(%d), 'held';\n" % LOCK)
        self.holder.stdin.flush()
        assert "held" in self.holder.stdout.readline()

    def release(self):
        """What is held back arrives; nothing more is."""
        if self.holder:
            self.holder.communicate()
            self.holder = None

    def release_until_next(self):
        """What is held back arrives; the next of the numbers is held back again."""
        self.release()
        self._hold()

    def waiting(self):
        return self.ask("select count(*) from pg_locks where locktype = 'advisory' and not granted"
                        " and objid = %d" % LOCK) != "0"

    def kill_manager(self, arrives):
        """@arrives: the Manager does not hear of it any more, but the record is there."""
        manager = self.site.processes.find("manager")
        manager.send(signal.SIGSTOP)
        if arrives:
            self.release()
            wait_for(lambda: self.ask("select count(*) from pg_stat_activity where state = 'active' and"
                                      " pid <> pg_backend_pid()"), "0")
        manager.send(signal.SIGKILL)
        assert manager.ended(20)
        if not arrives:
            self.ask("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and"
                     " not granted and objid = %d" % LOCK)


def in_background(site, vm_id, act):
    """Calls @act with the machine's service, on a connection of its own: the Manager may not live to
    answer it.  Returns the thread."""
    def tried():
        connection = connect(site)
        try:
            act(connection.system_service().vms_service().vm_service(vm_id))
        except sdk.Error:
            pass  # what became of it is looked at afterwards
        finally:
            connection.close(logout=False)
    thread = threading.Thread(target=tried)
    thread.start()
    return thread

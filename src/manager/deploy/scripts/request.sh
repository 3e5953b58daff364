# SPDX-License-Identifier: Apache-2.0
#
# request: the host's certificate request.  new_key: --new-key or nothing
main() {
    command -v vireo-agentd >/dev/null ||
        problem "The agent is not installed on the host; use the action install."
    vireo-agentd enroll request $new_key || problem "The host cannot make its key: $(vireo-agentd enroll request $new_key 2>&1 >/dev/null | tail -n 1)"
}
main </dev/null
exit

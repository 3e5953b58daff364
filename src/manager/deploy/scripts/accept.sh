# SPDX-License-Identifier: Apache-2.0
#
# accept: the certificate that the Manager signed.  certificate, manager_url, port
main() {
    said=$(printf '%s\n' "$certificate" |
        vireo-agentd enroll accept --manager "$manager_url" --port "$port" 2>&1) ||
        problem "The host does not take its certificate: $said"
}
main </dev/null
exit

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fault: the host protocol's error codes outside storage (facts/host-rpc.md 5).
 * The Manager reads the number; the text is for people.
 */

#include "base/base.h"

/* name, code, what is wrong */
#define VR_AGENT_FAULTS(F)                                                                         \
    F(no_vm, 1, "Virtual machine does not exist")                                                  \
    F(vm_exists, 4, "Virtual machine already exists")                                              \
    F(vm_not_running, 6, "The virtual machine does not run")                                       \
    F(vm_create, 9, "Cannot create the virtual machine")                                           \
    F(lost_connection, 10, "The Manager lost its connection while networks were changed")          \
    F(missing_parameter, 11, "A parameter is missing")                                             \
    F(unexpected, 16, "Unexpected failure")                                                        \
    F(ticket, 18, "Cannot set the ticket")                                                         \
    F(no_guest_agent, 19, "The guest agent does not answer")                                       \
    F(network_parameter, 21, "Bad network parameters")                                             \
    F(network_address, 22, "Bad network address")                                                  \
    F(network_nic, 23, "No such network interface")                                                \
    F(network_nic_used, 24, "The network interface is in use")                                     \
    F(network_vlan, 26, "Bad VLAN")                                                                \
    F(network_bridge, 27, "Bad bridge")                                                            \
    F(network_ifup, 29, "The network interface does not come up")                                  \
    F(unavailable, 40, "The resource is in use")                                                   \
    F(change_disk, 41, "Cannot change the disk")                                                   \
    F(destroy, 42, "Cannot destroy the virtual machine")                                           \
    F(fence_agent, 43, "The fence agent is not supported")                                         \
    F(not_implemented, 44, "Not implemented")                                                      \
    F(hotplug_disk, 45, "Cannot plug the disk")                                                    \
    F(hotunplug_disk, 46, "Cannot unplug the disk")                                                \
    F(hotplug_nic, 49, "Cannot plug the network interface")                                        \
    F(hotunplug_nic, 50, "Cannot unplug the network interface")                                    \
    F(balloon, 53, "Cannot set the balloon")                                                       \
    F(update_device, 56, "Cannot update the device")                                               \
    F(resize_disk, 58, "Cannot resize the disk")                                                   \
    F(set_cpus, 60, "Cannot set the number of processors")                                         \
    F(hotplug_memory, 70, "Cannot plug memory")                                                    \
    F(freeze, 76, "Cannot freeze the guest's file systems")                                        \
    F(thaw, 77, "Cannot thaw the guest's file systems")                                            \
    F(hotunplug_memory, 85, "Cannot unplug memory")                                                \
    F(reset, 90, "Cannot reset the virtual machine")                                               \
    F(invalid_parameter, 91, "A parameter is not valid")                                           \
    F(recovering, 99, "Recovering from crash or Initializing")                                     \
    F(general, 100, "General failure")                                                             \
    F(exhausted, 1100, "Not enough resources")

#define VR_AGENT_FAULT_DECLARE(name, code, text) extern const struct vr_fault vr_agent_fault_##name;
VR_AGENT_FAULTS(VR_AGENT_FAULT_DECLARE)
#undef VR_AGENT_FAULT_DECLARE

/* vr_agent_error(error, no_vm, "%s", id) */
#define vr_agent_error(error, name, ...) vr_error_set((error), &vr_agent_fault_##name, __VA_ARGS__)

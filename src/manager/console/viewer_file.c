/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/console/viewer_file.h"

#define TOGGLE_KEYS "shift+f11"
#define RELEASE_KEYS "shift+f12"
#define ATTENTION_KEYS "ctrl+alt+end"
#define CHANNELS "main;inputs;cursor;playback;record;display;smartcard;usbredir"

/* Nothing that ends a line early, and so begins one of somebody else's. */
static bool fits(const char *value)
{
    for (; *value; value++)
        if (g_ascii_iscntrl(*value))
            return false;
    return true;
}

/* One line, for a key file writes no others: lines of @pem end in a backslash and an n. */
static char *one_line(const char *pem)
{
    g_autoptr(GString) out = g_string_new(pem);
    g_string_replace(out, "\r", "", 0);
    g_string_replace(out, "\n", "\\n", 0);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static void write_spice(GString *out, const struct vr_viewer_file *file)
{
    if (file->tls_port)
        g_string_append_printf(out, "tls-port=%" G_GINT64_FORMAT "\n", file->tls_port);
    g_string_append_printf(out, "enable-smartcard=%d\nenable-usb-autoshare=%d\n", file->smartcard,
                           file->usb);
    g_string_append(out, "usb-filter=-1,-1,-1,-1,0\n");
    if (file->tls_port) {
        g_string_append(out, "tls-ciphers=DEFAULT\n");
        if (file->host_subject)
            g_string_append_printf(out, "host-subject=%s\n", file->host_subject);
        g_autofree char *ca = file->ca ? one_line(file->ca) : NULL;
        if (ca)
            g_string_append_printf(out, "ca=%s\n", ca);
    }
    if (file->proxy)
        g_string_append_printf(out, "proxy=%s\n", file->proxy);
    /* Without a secure port there is no way to obey it, and the viewer would refuse. */
    if (file->tls_port)
        g_string_append(out, "secure-channels=" CHANNELS "\n");
}

char *vr_viewer_file_text(const struct vr_viewer_file *file)
{
    const char *const values[] = { file->host, file->password, file->vm_name,
                                   file->host_subject ? file->host_subject : "",
                                   file->proxy ? file->proxy : "" };
    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++)
        if (!fits(values[i]))
            return NULL;
    GString *out = g_string_new("[virt-viewer]\n");
    g_string_append_printf(out, "type=%s\nhost=%s\n", file->spice ? "spice" : "vnc", file->host);
    if (file->port)
        g_string_append_printf(out, "port=%" G_GINT64_FORMAT "\n", file->port);
    g_string_append_printf(out, "password=%s\n", file->password);
    g_string_append_printf(out, "# Password is valid for %" G_GINT64_FORMAT " seconds.\n",
                           file->seconds);
    g_string_append_printf(out, "delete-this-file=1\nfullscreen=%d\n", file->fullscreen);
    g_string_append_printf(out, "title=%s:%%d\n", file->vm_name);
    g_string_append(out, "toggle-fullscreen=" TOGGLE_KEYS "\nrelease-cursor=" RELEASE_KEYS "\n"
                         "secure-attention=" ATTENTION_KEYS "\n");
    if (file->spice)
        write_spice(out, file);
    return g_string_free(out, FALSE);
}

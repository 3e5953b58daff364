/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/console/viewer_file.h"

static const struct {
    const char *what;
    struct vr_viewer_file file;
    const char *text; /* NULL: refused */
} rows[] = {
    { "VNC needs no more than address and password",
      { .host = "192.0.2.11", .port = 5900, .password = "Ab+/1234", .seconds = 120,
        .vm_name = "web1" },
      "[virt-viewer]\n"
      "type=vnc\n"
      "host=192.0.2.11\n"
      "port=5900\n"
      "password=Ab+/1234\n"
      "# Password is valid for 120 seconds.\n"
      "delete-this-file=1\n"
      "fullscreen=0\n"
      "title=web1:%d\n"
      "toggle-fullscreen=shift+f11\n"
      "release-cursor=shift+f12\n"
      "secure-attention=ctrl+alt+end\n" },
    { "SPICE has a secure port, an authority and secure channels",
      { .spice = true, .host = "host1.example.com", .port = 5901, .tls_port = 5902,
        .password = "abcdefghijkl", .seconds = 60, .vm_name = "web1", .fullscreen = true,
        .smartcard = true, .usb = true, .host_subject = "O=site,CN=host1",
        .ca = "-----BEGIN CERTIFICATE-----\r\nMII=\n-----END CERTIFICATE-----\n",
        .proxy = "http://proxy:3128" },
      "[virt-viewer]\n"
      "type=spice\n"
      "host=host1.example.com\n"
      "port=5901\n"
      "password=abcdefghijkl\n"
      "# Password is valid for 60 seconds.\n"
      "delete-this-file=1\n"
      "fullscreen=1\n"
      "title=web1:%d\n"
      "toggle-fullscreen=shift+f11\n"
      "release-cursor=shift+f12\n"
      "secure-attention=ctrl+alt+end\n"
      "tls-port=5902\n"
      "enable-smartcard=1\n"
      "enable-usb-autoshare=1\n"
      "usb-filter=-1,-1,-1,-1,0\n"
      "tls-ciphers=DEFAULT\n"
      "host-subject=O=site,CN=host1\n"
      "ca=-----BEGIN CERTIFICATE-----\\nMII=\\n-----END CERTIFICATE-----\\n\n"
      "proxy=http://proxy:3128\n"
      "secure-channels=main;inputs;cursor;playback;record;display;smartcard;usbredir\n" },
    { "SPICE without encryption asks for none",
      { .spice = true, .host = "h", .port = 5901, .password = "p", .seconds = 1, .vm_name = "v",
        .ca = "-----BEGIN CERTIFICATE-----\n" },
      "[virt-viewer]\n"
      "type=spice\n"
      "host=h\n"
      "port=5901\n"
      "password=p\n"
      "# Password is valid for 1 seconds.\n"
      "delete-this-file=1\n"
      "fullscreen=0\n"
      "title=v:%d\n"
      "toggle-fullscreen=shift+f11\n"
      "release-cursor=shift+f12\n"
      "secure-attention=ctrl+alt+end\n"
      "enable-smartcard=0\n"
      "enable-usb-autoshare=0\n"
      "usb-filter=-1,-1,-1,-1,0\n" },
    { "a secure port alone has no other",
      { .spice = true, .host = "h", .tls_port = 5901, .password = "p", .seconds = 1,
        .vm_name = "v" },
      "[virt-viewer]\n"
      "type=spice\n"
      "host=h\n"
      "password=p\n"
      "# Password is valid for 1 seconds.\n"
      "delete-this-file=1\n"
      "fullscreen=0\n"
      "title=v:%d\n"
      "toggle-fullscreen=shift+f11\n"
      "release-cursor=shift+f12\n"
      "secure-attention=ctrl+alt+end\n"
      "tls-port=5901\n"
      "enable-smartcard=0\n"
      "enable-usb-autoshare=0\n"
      "usb-filter=-1,-1,-1,-1,0\n"
      "tls-ciphers=DEFAULT\n"
      "secure-channels=main;inputs;cursor;playback;record;display;smartcard;usbredir\n" },
    { "a password cannot begin a line of its own",
      { .host = "h", .port = 5900, .password = "p\nproxy=evil", .vm_name = "v" }, NULL },
    { "nor can a name",
      { .host = "h", .port = 5900, .password = "p", .vm_name = "v\rtype=spice" }, NULL },
    { "nor an address",
      { .host = "h\n", .port = 5900, .password = "p", .vm_name = "v" }, NULL },
};

static void test_text(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        g_autofree char *text = vr_viewer_file_text(&rows[i].file);
        g_assert_cmpstr(text, ==, rows[i].text);
    }
}

/* What reads it: GLib's key files, as in virt-viewer. */
static void test_reads(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = vr_viewer_file_text(&rows[1].file);
    g_assert_true(g_key_file_load_from_data(file, text, (gsize)-1, G_KEY_FILE_NONE, NULL));
    g_autofree char *ca = g_key_file_get_string(file, "virt-viewer", "ca", NULL);
    g_assert_cmpstr(ca, ==, "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n");
    g_auto(GStrv) channels =
        g_key_file_get_string_list(file, "virt-viewer", "secure-channels", NULL, NULL);
    g_assert_cmpuint(g_strv_length(channels), ==, 8);
    g_assert_cmpint(g_key_file_get_integer(file, "virt-viewer", "tls-port", NULL), ==, 5902);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/viewer-file/the text is exact", test_text);
    g_test_add_func("/viewer-file/a viewer reads it back", test_reads);
    return g_test_run();
}

/* php --ri cfgstore, and phpinfo(). */
#include "php_cfgstore.h"
#include "ext/standard/info.h"

static void row(const char *name, CoreBytes value, const char *otherwise)
{
	char text[MAXPATHLEN];
	size_t length = MIN(value.len, sizeof(text) - 1);
	memcpy(text, value.data ? (const char *) value.data : "", length);
	text[length] = '\0';
	php_info_print_table_row(2, name, length ? text : otherwise);
}

static void print_state(cfg_source *source)
{
	CoreStatus status;
	char text[160];
	cfgstore_core_peek(source->core);
	CoreBytes keyring = cfgstore_core_keyring_describe(source->core);
	cfgstore_core_status(source->core, &status);
	row("Data folder", status.data_dir, "none");
	row("Socket", status.socket, "none");
	row("Mirror", status.mirror_dir, "not found");
	if (status.synced) {
		snprintf(text, sizeof(text), "revision %lld, %llu keys, generation %llu%s", (long long) status.revision,
			(unsigned long long) status.keys, (unsigned long long) status.generation,
			status.restored ? ", from the last copy on disk" : "");
		php_info_print_table_row(2, "Mirror state", text);
		if (status.silent_ms == UINT64_MAX) {
			snprintf(text, sizeof(text), "never heard, process %u", status.agent_pid);
		} else {
			snprintf(text, sizeof(text), "%s, last heard %.1f s ago, process %u",
				status.silent_ms < CORE_SILENT_MS ? "alive" : "silent", (double) status.silent_ms / 1000, status.agent_pid);
		}
		php_info_print_table_row(2, "Agent", text);
	} else {
		php_info_print_table_row(2, "Mirror state", "nothing to read yet");
	}
	row("Keyring", keyring, "none");
	row("Trouble", status.trouble, "none");
}

void cfg_info(zend_module_entry *zend_module)
{
	php_info_print_table_start();
	php_info_print_table_row(2, "cfgstore support", "enabled");
	php_info_print_table_row(2, "Version", CFGSTORE_VERSION);
	php_info_print_table_row(2, "Value mode", cfg_value_mode_name(cfg_effective_value_mode()));
	php_info_print_table_row(2, "Reads see", cfg_effective_consistency() == CFG_READS_REQUEST
		? "one revision per request" : "the newest revision");
	CoreError error;
	cfg_scope *scope = cfg_scope_default(&error);
	if (scope) {
		print_state(scope->source);
	} else {
		row("Trouble", (CoreBytes) {error.message, error.message_len}, "none");
	}
	php_info_print_table_end();
	DISPLAY_INI_ENTRIES();
}

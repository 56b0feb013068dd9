{{ config_get("user.containarium.ssh_keys", "")|safe }}

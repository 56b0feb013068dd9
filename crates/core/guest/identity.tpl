instance={{ instance.name }}
username={{ config_get("user.containarium.username", "")|safe }}
hostname={{ config_get("user.containarium.hostname", "")|safe }}
address={{ config_get("user.containarium.address", "")|safe }}
gateway={{ config_get("user.containarium.gateway", "")|safe }}
dns={{ config_get("user.containarium.dns", "")|safe }}
docker={{ config_get("user.containarium.docker", "false")|safe }}

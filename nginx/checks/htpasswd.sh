# shellcheck shell=sh
# Part of the entrypoint: checks the password file of optional/htpasswd.conf.
passwords=/run/secrets/htpasswd
host_path=${MIRROR_HTPASSWD_FILE:-$passwords}

if [ -e /tmp/nginx/htpasswd.conf ]; then
  [ -s "$passwords" ] || stop "MIRROR_NGINX=htpasswd: set MIRROR_HTPASSWD_FILE to a file with a line NAME:HASH per user"
  [ -r "$passwords" ] || stop "$host_path: not readable by user $(id -u); run chown $(id -u) $host_path"
  # Hashing the password of each request blocks a worker: bcrypt of cost 10 takes 45 ms.
  # shellcheck disable=SC2016 # the $ belong to the hash
  valid='^(#.*|[^:]+:(\$apr1\$|\$[56]\$|\$2[aby]\$0[45]\$|\{SSHA\}).*)?$'
  invalid=$(grep -nvE "$valid" "$passwords" | cut -d: -f1 | xargs)
  [ -z "$invalid" ] || stop "$host_path, line $invalid: not NAME:HASH, or the hash is too slow; use openssl passwd -6"
elif [ -s "$passwords" ]; then
  # The operator believes that the mirror requires a password.
  stop "MIRROR_HTPASSWD_FILE is set, but MIRROR_NGINX lacks htpasswd"
fi

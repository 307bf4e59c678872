# shellcheck shell=sh
# Has optional/htpasswd.conf what it needs? A part of the entrypoint, as checks/tls.sh.
passwords=/run/secrets/htpasswd
theirs=${MIRROR_HTPASSWD_FILE:-$passwords}

if [ -e /tmp/nginx/htpasswd.conf ]; then
  [ -s "$passwords" ] || stop "MIRROR_NGINX=htpasswd: set MIRROR_HTPASSWD_FILE, a file with a line NAME:HASH a user"
  [ -r "$passwords" ] || stop "$theirs: not readable by $(id -u): chown $(id -u) $theirs"
  # A worker computes the hash of each request's password, and nothing else meanwhile: bcrypt of cost 10 takes 45 ms.
  # shellcheck disable=SC2016 # a hash's $ are its own
  sound='^(#.*|[^:]+:(\$apr1\$|\$[56]\$|\$2[aby]\$0[45]\$|\{SSHA\}).*)?$'
  wrong=$(grep -nvE "$sound" "$passwords" | cut -d: -f1 | xargs)
  [ -z "$wrong" ] || stop "$theirs, line $wrong: not NAME:HASH, or a hash too slow for every request; openssl passwd -6"
elif [ -s "$passwords" ]; then
  # Its operator believes the mirror to be closed.
  stop "MIRROR_HTPASSWD_FILE is set, but MIRROR_NGINX does not name htpasswd"
fi

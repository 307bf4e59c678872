# shellcheck shell=sh
# Part of the entrypoint: selects which symlinks of other mirrors' trees nginx follows, and checks that none can expose a
# secret. Runs before checks/tls.sh, which tests the whole configuration.

mkdir /tmp/nginx/documents # included by tree/documents.conf
if [ -e /tmp/nginx/symlinks.conf ]; then
  mv /tmp/nginx/symlinks.conf /tmp/nginx/documents/
  for secret in htpasswd:/run/secrets/htpasswd tls:/etc/nginx/tls/privkey.pem; do
    [ -e "/tmp/nginx/${secret%%:*}.conf" ] && [ -e "${secret#*:}" ] || continue
    owner=$(stat --dereference --format=%u "${secret#*:}")
    [ "$owner" = "$(id -u)" ] || stop "MIRROR_NGINX=symlinks: ${secret#*:} belongs to user $owner, whose symlinks \
could expose it; run chown $(id -u) on it on the host"
  done
else
  ln -s /etc/nginx/no_symlinks.conf /tmp/nginx/documents/symlinks.conf
fi

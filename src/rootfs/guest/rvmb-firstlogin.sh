# Runs the script of the first login: once for each user, when one first logs in to a terminal.
# Sourced by login shells. What happens in here must never keep anybody from logging in.
case $- in
*i*)
    if [ -x /usr/lib/rvmb/firstlogin ] && [ ! -e "$HOME/.local/state/rvmb/firstlogin.done" ]; then
        # A script that fails leaves no mark and runs again at the next login.
        if /usr/lib/rvmb/firstlogin; then
            (umask 077 && mkdir -p "$HOME/.local/state/rvmb" && : >"$HOME/.local/state/rvmb/firstlogin.done")
        else
            echo "The script of the first login failed; it runs again at the next login." >&2
        fi
    fi
    ;;
esac

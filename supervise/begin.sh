#!/bin/sh
# What each service's run script does first; it sources this copy in its own folder.
exec 2>&1
# Whom the processes that the service starts belong to, also when they outlive it.
SAC_SERVICE_PID=$$
export SAC_SERVICE_PID
# The count of starts seeds the random generators and shows in the status. It is
# overwritten in place, which works on a full disk.
read -r starts 2>/dev/null <num_starts
case $starts in
  '' | 0* | *[!0-9]*) starts=0 ;;
esac
printf '%10d\n' $((starts + 1)) 1<>num_starts

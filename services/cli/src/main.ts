process.stdout.write('tributary\n')

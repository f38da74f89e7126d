/** What the data point at hand holds outside its attributes; one object for all of them. */
import { FieldRun } from './field-run.ts'
import { EXEMPLAR, VALUE_AT_QUANTILE } from './message-schema.ts'

/** Which member of the oneof a number data point holds. */
export const ValueType = { none: 0, int: 1, double: 2 } as const

class DataPoint {
  startLow = 0
  startHigh = 0
  timeLow = 0
  timeHigh = 0
  flags = 0
  valueType = 0
  valueLow = 0
  valueHigh = 0
  countLow = 0
  countHigh = 0
  hasSum = false
  sumLow = 0
  sumHigh = 0
  hasMin = false
  minLow = 0
  minHigh = 0
  hasMax = false
  maxLow = 0
  maxHigh = 0
  /** Child values pushed to the list columns so far. */
  boundCount = 0
  bucketCount = 0
  scale = 0
  zeroCountLow = 0
  zeroCountHigh = 0
  zeroThresholdLow = 0
  zeroThresholdHigh = 0
  hasPositive = false
  positiveOffset = 0
  positiveCount = 0
  hasNegative = false
  negativeOffset = 0
  negativeCount = 0
  readonly exemplars = new FieldRun(EXEMPLAR)
  readonly quantiles = new FieldRun(VALUE_AT_QUANTILE)

  clear(): void {
    this.startLow = this.startHigh = this.timeLow = this.timeHigh = 0
    this.flags = this.valueType = this.valueLow = this.valueHigh = 0
    this.countLow = this.countHigh = 0
    this.hasSum = this.hasMin = this.hasMax = false
    this.sumLow = this.sumHigh = 0
    this.boundCount = this.bucketCount = 0
    this.scale = this.zeroCountLow = this.zeroCountHigh = 0
    this.zeroThresholdLow = this.zeroThresholdHigh = 0
    this.hasPositive = this.hasNegative = false
    this.positiveOffset = this.positiveCount = 0
    this.negativeOffset = this.negativeCount = 0
    this.exemplars.clear()
    this.quantiles.clear()
  }
}

export const point = new DataPoint()
